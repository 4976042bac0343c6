-- one row a film and genre as delivered; `line` is its first place in the delivery, from 1
-- genre is null where blank, and where MovieLens writes that it knows none
with numbered as (
    select *, row_number() over () as line
    from raw_genres
),

trimmed as (
    select
        line,
        case when trim(cast(item as varchar)) = '' then null else item end as item,
        trim(cast(genre as varchar)) as genre
    from numbered
),

cleaned as (
    select
        line,
        item,
        case when lower(genre) in ('', 'unknown', '(no genres listed)') then null else genre end as genre
    from trimmed
)

select
    min(line) as line,
    item,
    genre
from cleaned
where item is not null
group by item, genre
order by line
