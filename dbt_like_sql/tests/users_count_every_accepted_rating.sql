-- the events of all users add up to the accepted ratings
with counted as (
    select coalesce(sum(events), 0) as events
    from users
),

accepted as (
    select count(*) as ratings
    from accepted_ratings
)

select counted.events, accepted.ratings
from counted
cross join accepted
where counted.events <> accepted.ratings
