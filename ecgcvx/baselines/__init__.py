"""What a person would have used instead of the convex program: linear prediction and backpropagation.

rows            rows of a data matrix, checked when they are read
linear          least squares, ridge, lasso, group lasso, persistence
backprop        forward and backward pass of a network of any depth
problem         the objective P on all rows
optimisers      SGD, momentum, AdaGrad, RMSProp, Adam, and schedules of the step size
minibatch       training with one of them
lbfgs           full-batch training by L-BFGS
linearisation   J and its products
curvature       the Gauss-Newton matrix and its approximations
gauss_newton    training by damped Gauss-Newton steps
clock           a time limit, and the objective against time
"""
