"""The split strategies, one file a family; `recpipe.data.splitting` is the door."""
