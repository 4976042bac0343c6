-- one row a rating that keeps every row rule (see rejected_ratings): the source's, then those of the arrivals
-- in the order of delivery; `line` is the place in it, arrivals go on where the source ends
with delivered as (
    select
        line,
        user,
        item,
        rating,
        time
    from stg_ratings
    union all
    select
        line,
        user,
        item,
        rating,
        time
    from arrived_ratings
)

select
    line,
    user,
    item,
    rating,
    time
from delivered
anti join rejected_ratings using (line)
order by line
