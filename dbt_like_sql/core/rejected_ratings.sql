-- one row a rating that breaks a row rule: all its columns, its line, and the first rule that it breaks
-- the rules stand in stg_ratings; here it is seen only which rows of an arrival repeat a sound row from before it
with arrived as (
    select
        *,
        row_number() over (partition by reason, user, item, time order by line) as occurrence
    from arrived_ratings
),

known as (
    select
        user,
        item,
        time
    from stg_ratings
    where reason is null
),

repeated as (
    select arrived.line
    from arrived
    left join known using (user, item, time)
    where arrived.reason is null and (arrived.occurrence > 1 or known.user is not null)
)

select
    line,
    user,
    item,
    rating,
    time,
    reason
from stg_ratings
where reason is not null
union all
select
    line,
    user,
    item,
    rating,
    time,
    coalesce(reason, 'user, item and time as in an earlier row') as reason
from arrived_ratings
where reason is not null or line in (select line from repeated)
order by line
