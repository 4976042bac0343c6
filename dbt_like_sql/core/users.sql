-- one row a user with an accepted rating: first and last time (unix seconds) and number of events
select
    user,
    min(time) as first_time,
    max(time) as last_time,
    count(*) as events
from accepted_ratings
group by user
order by user
