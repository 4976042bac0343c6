-- every staged and every arrived rating is accepted or rejected, exactly once; nothing else is
with judged as (
    select line from accepted_ratings
    union all
    select line from rejected_ratings
),

counts as (
    select line, count(*) as times
    from judged
    group by line
),

delivered as (
    select line from stg_ratings
    union all
    select line from arrived_ratings
)

select
    coalesce(delivered.line, counts.line) as line,
    coalesce(counts.times, 0) as times
from delivered
full join counts using (line)
where delivered.line is null or counts.times is distinct from 1
