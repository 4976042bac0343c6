-- one row a film of item_features: how it was watched in the training part alone; counts of 0 and nulls where never
-- recent: the last tenth of the training part's time span; position: 0 first to 1 last film of a user's history
with numbered as not materialized (
    select *, row_number() over () as event
    from train
),

histories as (
    select
        user,
        min(event) as first_event,
        greatest(count(*) - 1, 1) as last_place,
        min(time) as first_time,
        max(time) as last_time
    from numbered
    group by user
),

span as (
    select
        count(*) as users,
        max(last_time) - (max(last_time) - min(first_time)) // 10 as recent_from
    from histories
),

-- a decimal, not a float, so that its mean does not depend on the order of addition
placed as (
    select
        numbered.item,
        numbered.time,
        cast((numbered.event - histories.first_event) / histories.last_place as decimal(9, 6)) as position
    from numbered
    inner join histories using (user)
),

watched as (
    select
        item,
        count(*) as events,
        min(time) as first_time,
        max(time) as last_time,
        avg(position) as mean_position
    from placed
    group by item
),

-- distinct rows first and then a count: on twenty million events half the seconds of counts of distinct values
pairs as (
    select
        item,
        user,
        max(time) as last_time
    from train
    group by item, user
),

watchers as (
    select
        pairs.item,
        count(*) as users,
        count(case when pairs.last_time >= span.recent_from then 1 end) as recent_users
    from pairs
    cross join span
    group by pairs.item
)

select
    item_features.item,
    coalesce(watched.events, 0) as events,
    coalesce(watchers.users, 0) as users,
    coalesce(watchers.recent_users, 0) as recent_users,
    coalesce(watchers.users / span.users, 0) as popularity,
    watched.first_time,
    watched.last_time,
    watched.mean_position
from item_features
cross join span
left join watched using (item)
left join watchers using (item)
order by item_features.item
