"""Count: the parameters, multiply-adds and modules of a network, on torch's meta device."""
