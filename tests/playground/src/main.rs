//! Clusters, emitters and a reflector to play with, in one command.

fn main() {}
