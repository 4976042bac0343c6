-- every staged rating is accepted or rejected, exactly once; nothing else is
with judged as (
    select line from accepted_ratings
    union all
    select line from rejected_ratings
),

counts as (
    select line, count(*) as times
    from judged
    group by line
)

select
    coalesce(stg_ratings.line, counts.line) as line,
    coalesce(counts.times, 0) as times
from stg_ratings
full join counts using (line)
where stg_ratings.line is null or counts.times is distinct from 1
