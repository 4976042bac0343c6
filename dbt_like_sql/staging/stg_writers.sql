-- one row a film and writer as delivered; `line` is its first place in the delivery, from 1; writer is null where blank
with numbered as (
    select *, row_number() over () as line
    from raw_writers
),

cleaned as (
    select
        line,
        case when trim(cast(item as varchar)) = '' then null else item end as item,
        nullif(trim(cast(writer as varchar)), '') as writer
    from numbered
)

select
    min(line) as line,
    item,
    writer
from cleaned
where item is not null
group by item, writer
order by line
