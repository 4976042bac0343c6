-- one row a film of core/items: title and year (null where unknown), sorted lists of its genres, directors and writers
with genre_lists as (
    select item, list(genre order by genre) as genres
    from stg_genres
    where genre is not null
    group by item
),

director_lists as (
    select item, list(director order by director) as directors
    from stg_directors
    where director is not null
    group by item
),

writer_lists as (
    select item, list(writer order by writer) as writers
    from stg_writers
    where writer is not null
    group by item
)

select
    items.item,
    items.title,
    items.year,
    coalesce(genre_lists.genres, cast([] as varchar[])) as genres,
    coalesce(director_lists.directors, cast([] as varchar[])) as directors,
    coalesce(writer_lists.writers, cast([] as varchar[])) as writers
from items
left join genre_lists using (item)
left join director_lists using (item)
left join writer_lists using (item)
order by items.item
