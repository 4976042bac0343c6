-- the events of item_behaviour add up to the training part
with counted as (
    select coalesce(sum(events), 0) as events
    from item_behaviour
),

trained as (
    select count(*) as events
    from train
)

select counted.events, trained.events as training_events
from counted
cross join trained
where counted.events <> trained.events
