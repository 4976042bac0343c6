-- every film stands in items once, and has an id
select item, count(*) as times
from items
group by item
having count(*) > 1 or item is null
