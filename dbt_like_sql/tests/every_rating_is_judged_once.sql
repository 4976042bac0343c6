-- every staged and every arrived rating is accepted or rejected, exactly once; nothing else is
-- lines count from 1: sorted, each stands in its own place, and only what begins with the first that does not is counted
with judged as (
    select line from accepted_ratings
    union all
    select line from rejected_ratings
),

delivered as (
    select line from stg_ratings
    union all
    select line from arrived_ratings
),

judged_places as (
    select line, row_number() over (order by line) as place
    from judged
),

delivered_places as (
    select line, row_number() over (order by line) as place
    from delivered
),

ends as (
    select count(*) as line from judged
    union all
    select count(*) as line from delivered
),

differences as (
    select least(line, place) as line from judged_places
    where line is distinct from place
    union all
    select least(line, place) as line from delivered_places
    where line is distinct from place
    union all
    select min(line) + 1 as line from ends
    having min(line) <> max(line)
),

counts as (
    select line, count(*) as times
    from judged
    where line >= (select min(line) from differences)
    group by line
),

rest as (
    select line
    from delivered
    where line >= (select min(line) from differences)
)

select
    coalesce(rest.line, counts.line) as line,
    coalesce(counts.times, 0) as times
from rest
full join counts using (line)
where rest.line is null or counts.times is distinct from 1
