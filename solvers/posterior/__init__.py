"""How sure is each link: the probabilities of the selections of a tracking problem, arrays in and arrays out."""
