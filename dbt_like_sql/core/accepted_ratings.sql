-- one row a staged rating that keeps every row rule (see rejected_ratings), in the order of delivery
select
    line,
    user,
    item,
    rating,
    time
from stg_ratings
anti join rejected_ratings using (line)
order by line
