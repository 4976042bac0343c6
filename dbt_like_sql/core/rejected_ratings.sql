-- one row a staged rating that breaks a row rule: all its columns, its line, and the first rule that it breaks
-- $latest_time: unix seconds, the latest plausible time; the pipeline hands in tomorrow
with judged as (
    select
        *,
        case
            when user is null then 'user missing'
            when item is null then 'item missing'
            when time is null then 'time missing'
            when time <= 631152000 then 'time not after 1990-01-01'
            when time > $latest_time then 'time later than tomorrow'
            when not isfinite(rating) then 'rating not finite'
            when rating not between 0 and 10 then 'rating outside 0 to 10'
        end as broken_rule
    from stg_ratings
),

-- copies are counted among the rows that are sound otherwise, so that a bad row never takes a good one with it
numbered as (
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
    coalesce(broken_rule, 'user, item and time as in an earlier row') as reason
from numbered
where broken_rule is not null or occurrence > 1
order by line
