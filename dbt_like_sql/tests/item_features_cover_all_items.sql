-- item_features has every film of items, once, and no other
with counts as (
    select item, count(*) as times
    from item_features
    group by item
)

select
    coalesce(items.item, counts.item) as item,
    coalesce(counts.times, 0) as times
from items
full join counts using (item)
where items.item is null or counts.times is distinct from 1
