//! The adversary at the gate.

mod bytes;
mod container;
mod likeness;
mod decode;
mod examine;
mod faces;
mod identity;
mod subjects;
