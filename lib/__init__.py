"""One thin library for one paper. What stands flat here is the library; what uses it stands in folders.

protocol   the run, described: data, dimensions, seeds, training, points
store      content-keyed files: load, else compute; paths says where things lie
workers    where work items run: here, in processes, on a cluster
data       training images; noise draws the out-of-distribution points
model      the autoencoder, and the networks of one seed as one stack; training trains them
jacobian   K_I and K_L; eigen their eigenvalues; spectrum one network's on one data set
results    protocol → networks → cells → table; published reads what was computed at the paper's scale

Folders, each importing only what is before it: studies, figures, companions, pages,
press (the command line above all).
"""
