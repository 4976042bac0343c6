-- one row a film of item_features: how it was watched in the training part alone; counts of 0 and nulls where never
-- recent: the last tenth of the training part's time span; position: 0 first to 1 last film of a user's history
with numbered as (
    select *, row_number() over () as event
    from train
),

span as (
    select
        count(distinct user) as users,
        max(time) - (max(time) - min(time)) // 10 as recent_from
    from train
),

-- a decimal, not a float, so that its mean does not depend on the order of addition
placed as (
    select
        user,
        item,
        time,
        cast(
            (row_number() over (partition by user order by time, event) - 1)
            / greatest(count(*) over (partition by user) - 1, 1)
            as decimal(9, 6)
        ) as position
    from numbered
),

counted as (
    select
        placed.item,
        count(*) as events,
        count(distinct placed.user) as users,
        count(distinct case when placed.time >= span.recent_from then placed.user end) as recent_users,
        min(placed.time) as first_time,
        max(placed.time) as last_time,
        avg(placed.position) as mean_position
    from placed
    cross join span
    group by placed.item
)

select
    item_features.item,
    coalesce(counted.events, 0) as events,
    coalesce(counted.users, 0) as users,
    coalesce(counted.recent_users, 0) as recent_users,
    coalesce(counted.users / span.users, 0) as popularity,
    counted.first_time,
    counted.last_time,
    counted.mean_position
from item_features
cross join span
left join counted using (item)
order by item_features.item
