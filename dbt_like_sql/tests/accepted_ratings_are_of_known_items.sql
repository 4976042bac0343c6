-- every film that somebody watched has its features
select distinct accepted_ratings.item
from accepted_ratings
anti join item_features using (item)
