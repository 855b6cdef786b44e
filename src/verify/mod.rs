//! The adversary at the gate.

mod bytes;
mod container;
mod likeness;
