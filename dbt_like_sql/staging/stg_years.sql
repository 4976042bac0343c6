-- one row a film and release year as delivered; `line` is its first place in the delivery, from 1
-- year is null where it is no number, or not between 1870 and 2100
with numbered as (
    select *, row_number() over () as line
    from raw_years
),

typed as (
    select
        line,
        case when trim(cast(item as varchar)) = '' then null else item end as item,
        try_cast(year as integer) as year
    from numbered
),

cleaned as (
    select
        line,
        item,
        case when year between 1870 and 2100 then year end as year
    from typed
)

select
    min(line) as line,
    item,
    year
from cleaned
where item is not null
group by item, year
order by line
