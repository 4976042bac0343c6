-- no user watches the same film at the same time twice
select user, item, time, count(*) as times
from accepted_ratings
group by user, item, time
having count(*) > 1
