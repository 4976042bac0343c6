-- every rejected rating says why
select *
from rejected_ratings
where reason is null or reason = ''
