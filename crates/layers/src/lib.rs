//! Layers of a fully connected network, forward and backward, and the network that strings them together
