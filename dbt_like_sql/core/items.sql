-- one row a film that occurs in the accepted ratings or in any side table; title and year are null where unknown
-- of several titles or years of one film the first delivered holds; a year that is missing is read from the title
with known as (
    select item from accepted_ratings
    union
    select item from stg_titles
    union
    select item from stg_years
    union
    select item from stg_genres
    union
    select item from stg_directors
    union
    select item from stg_writers
),

titles as (
    select item, arg_min(title, line) as title
    from stg_titles
    where title is not null
    group by item
),

years as (
    select item, arg_min(year, line) as year
    from stg_years
    where year is not null
    group by item
),

-- the last four digits that open a parenthesis: "Toy Story (1995)", "Friends (1994-2004)", "1984 (1984) (V)"
years_in_titles as (
    select
        item,
        try_cast(regexp_extract(title, '.*\(([0-9]{4})([^0-9)][^)]*)?\)', 1) as integer) as year
    from titles
)

select
    known.item,
    titles.title,
    coalesce(
        years.year,
        case when years_in_titles.year between 1870 and 2100 then years_in_titles.year end
    ) as year
from known
left join titles using (item)
left join years using (item)
left join years_in_titles using (item)
order by known.item
