-- one row a rating as delivered, typed and judged; `line` is its place in the delivery, from 1; blank ids are null
-- time is unix seconds, null where it is no number; ids keep the type in which the reader delivers them
-- reason: the first row rule that it breaks, null where it keeps all; an arrival's rows are judged by this file too
-- $latest_time: unix seconds, the latest plausible time; the pipeline hands in tomorrow
with numbered as not materialized (
    select *, row_number() over () as line
    from raw_ratings
),

-- an id is put into words once, not once a row
blank_users as (
    select user
    from raw_ratings
    group by user
    having trim(cast(user as varchar)) = ''
),

blank_items as (
    select item
    from raw_ratings
    group by item
    having trim(cast(item as varchar)) = ''
),

typed as not materialized (
    select
        numbered.line,
        case when blank_users.user is null then numbered.user end as user,
        case when blank_items.item is null then numbered.item end as item,
        cast(numbered.rating as double) as rating,
        numbered.time as delivered_time,
        try_cast(numbered.time as bigint) as time
    from numbered
    left join blank_users on numbered.user = blank_users.user
    left join blank_items on numbered.item = blank_items.item
),

judged as not materialized (
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

repeated as (
    select
        user,
        item,
        try_cast(time as bigint) as time
    from raw_ratings
    group by user, item, try_cast(time as bigint)
    having count(*) > 1
),

-- copies are counted among the rows that are sound otherwise, so that a bad row never takes a good one with it
first_of_copies as (
    select
        judged.user,
        judged.item,
        judged.time,
        min(judged.line) as first_line
    from judged
    inner join repeated using (user, item, time)
    where judged.broken_rule is null
    group by judged.user, judged.item, judged.time
)

select
    judged.line,
    judged.user,
    judged.item,
    judged.rating,
    judged.time,
    coalesce(
        judged.broken_rule,
        case when judged.line > first_of_copies.first_line then 'user, item and time as in an earlier row' end
    ) as reason
from judged
left join first_of_copies using (user, item, time)
order by line
