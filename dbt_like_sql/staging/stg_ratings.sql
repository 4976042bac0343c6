-- one row a rating as delivered, typed and judged; `line` is its place in the delivery, from 1; blank ids are null
-- time is unix seconds, null where it is no number; ids keep the type in which the reader delivers them
-- reason: the first row rule that it breaks, null where it keeps all; an arrival's rows are judged by this file too
-- $latest_time: unix seconds, the latest plausible time; the pipeline hands in tomorrow
with numbered as (
    select *, row_number() over () as line
    from raw_ratings
),

typed as (
    select
        line,
        case when trim(cast(user as varchar)) = '' then null else user end as user,
        case when trim(cast(item as varchar)) = '' then null else item end as item,
        cast(rating as double) as rating,
        time as delivered_time,
        try_cast(time as bigint) as time
    from numbered
),

judged as (
    select
        *,
        case
            when user is null then 'user missing'
            when item is null then 'item missing'
            when delivered_time is null then 'time missing'
            when time is null then 'time is no number'
            when time <= 631152000 then 'time not after 1990-01-01'
            when time > $latest_time then 'time later than tomorrow'
            when not isfinite(rating) then 'rating not finite'
            when rating not between 0 and 10 then 'rating outside 0 to 10'
        end as broken_rule
    from typed
),

-- copies are counted among the rows that are sound otherwise, so that a bad row never takes a good one with it
counted as (
    select
        *,
        row_number() over (partition by broken_rule, user, item, time order by line) as occurrence
    from judged
)

select
    line,
    user,
    item,
    rating,
    time,
    coalesce(broken_rule, case when occurrence > 1 then 'user, item and time as in an earlier row' end) as reason
from counted
order by line
