//! One network, ready to run.

use super::runtime::Device;
use crate::error::{Error, Result};
use ort::environment::Environment;
use ort::session::Session;
use ort::session::SessionInputValue;
use ort::session::builder::GraphOptimizationLevel;
use ort::value::TensorRef;

/// A named array of `f32`.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Name given by the network.
    pub name: String,
    /// Length of each axis.
    pub shape: Vec<usize>,
    /// Values, last axis fastest; their number is the product of `shape`.
    pub data: Vec<f32>,
}

/// A network in memory. Runs one picture at a time; open several for several threads.
pub struct Net {
    session: Session,
    name: String,
    input: String,
}

impl std::fmt::Debug for Net {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Net").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Net {
    pub(super) fn open(environment: &Environment, device: Device, name: &str, bytes: &[u8]) -> Result<Self> {
        let fail = |e: &dyn std::fmt::Display| Error::Model(format!("cannot open the network `{name}`: {e}"));
        let builder = Session::builder(environment).map_err(|e| fail(&e))?;
        let builder = builder.with_intra_threads(1).map_err(|e| fail(&e))?;
        let builder = builder.with_inter_threads(1).map_err(|e| fail(&e))?;
        let builder = builder.with_intra_op_spinning(false).map_err(|e| fail(&e))?;
        let builder = builder.with_optimization_level(GraphOptimizationLevel::Level3).map_err(|e| fail(&e))?;
        let mut builder = builder.with_log_level(ort::logging::LogLevel::Error).map_err(|e| fail(&e))?;
        if device == Device::Cuda {
            let cuda = ort::ep::CUDA::default().build().error_on_failure();
            builder = builder.with_execution_providers([cuda]).map_err(|e| {
                Error::Model(format!(
                    "CUDA was asked for but cannot be used ({e}). Check the GPU driver and the CUDA and cuDNN libraries, \
                     or use --device cpu"
                ))
            })?;
        }
        let session = builder.commit_from_memory(bytes).map_err(|e| fail(&e))?;
        let input = session.inputs().first().map(|i| i.name().to_string()).unwrap_or_default();
        Ok(Net { session, name: name.to_string(), input })
    }

    /// The network's name in the catalogue.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Name of its first input.
    #[must_use]
    pub fn input(&self) -> &str {
        &self.input
    }

    /// Runs the network on one tensor given to its first input; all outputs, in the network's order.
    ///
    /// # Errors
    /// `Model` if `data` does not fill `shape`, the network fails, an output is not `f32`, or any value of an output
    /// is not a finite number.
    pub fn run(&mut self, shape: &[usize], data: &[f32]) -> Result<Vec<Tensor>> {
        let name = &self.name;
        if shape.iter().product::<usize>() != data.len() {
            return Err(Error::Model(format!("`{name}` was given {} values for shape {shape:?}", data.len())));
        }
        let fail = |e: ort::Error| Error::Model(format!("the network `{name}` failed to run: {e}"));
        let input = TensorRef::from_array_view((shape, data)).map_err(fail)?;
        let inputs: Vec<(&str, SessionInputValue<'_>)> = vec![(self.input.as_str(), input.into())];
        let outputs = self.session.run(inputs).map_err(fail)?;
        let mut tensors = Vec::with_capacity(outputs.len());
        for (key, value) in outputs.iter() {
            let (shape, data) = value.try_extract_tensor::<f32>().map_err(fail)?;
            if !data.iter().all(|v| v.is_finite()) {
                return Err(Error::Model(format!("the network `{name}` gave values that are not numbers in `{key}`")));
            }
            let shape = shape.iter().map(|n| usize::try_from(*n).unwrap_or(0)).collect();
            tensors.push(Tensor { name: key.to_string(), shape, data: data.to_vec() });
        }
        Ok(tensors)
    }
}

impl Tensor {
    /// The tensor whose name begins with `prefix`, holding exactly `len` values.
    ///
    /// # Errors
    /// `Model` if there is none.
    pub fn find<'t>(tensors: &'t [Tensor], prefix: &str, len: usize) -> Result<&'t [f32]> {
        match tensors.iter().find(|t| t.name.starts_with(prefix)) {
            Some(t) if t.data.len() == len => Ok(&t.data),
            Some(t) => Err(Error::Model(format!(
                "the network's output `{prefix}` has {} values instead of {len}",
                t.data.len()
            ))),
            None => Err(Error::Model(format!("the network has no output `{prefix}`"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_looked_up_by_name_and_length() {
        let tensors = [Tensor { name: "cls_8:0".into(), shape: vec![1, 2], data: vec![0.0, 1.0] }];
        assert_eq!(Tensor::find(&tensors, "cls_8", 2).unwrap(), &[0.0, 1.0]);
        assert!(Tensor::find(&tensors, "cls_8", 3).is_err());
        assert!(Tensor::find(&tensors, "obj_8", 2).is_err());
    }
}
