-- one row a film and director as delivered; `line` is its first place in the delivery, from 1; director is null where blank
with numbered as (
    select *, row_number() over () as line
    from raw_directors
),

cleaned as (
    select
        line,
        case when trim(cast(item as varchar)) = '' then null else item end as item,
        nullif(trim(cast(director as varchar)), '') as director
    from numbered
)

select
    min(line) as line,
    item,
    director
from cleaned
where item is not null
group by item, director
order by line
