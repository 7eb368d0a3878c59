"""The posterior of a tracking: how sure each link is, by the methods of the paper and by ours."""
