-- one row a film and title as delivered; `line` is its first place in the delivery, from 1; title is null where blank
with numbered as (
    select *, row_number() over () as line
    from raw_titles
),

cleaned as (
    select
        line,
        case when trim(cast(item as varchar)) = '' then null else item end as item,
        nullif(trim(cast(title as varchar)), '') as title
    from numbered
)

select
    min(line) as line,
    item,
    title
from cleaned
where item is not null
group by item, title
order by line
