-- one row a rating as delivered, typed; `line` is its place in the delivery, from 1; blank ids are null
-- time is unix seconds, null where it is no number; ids keep the type in which the reader delivers them
with numbered as (
    select *, row_number() over () as line
    from raw_ratings
)

select
    line,
    case when trim(cast(user as varchar)) = '' then null else user end as user,
    case when trim(cast(item as varchar)) = '' then null else item end as item,
    cast(rating as double) as rating,
    try_cast(time as bigint) as time
from numbered
order by line
