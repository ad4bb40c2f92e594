//! IR to text: one writer for the C family. The languages differ in a prelude and in what [`Target`] says; function
//! bodies are the same.

mod expr;
mod parts;
mod writer;

pub use writer::{host_calls, write};

use crate::{Language, Target};
use enum_dispatch::enum_dispatch;

/// What a kernel language adds to the common text.
#[enum_dispatch]
pub trait Dialect {
    /// Types, address spaces, primitives, the entry point.
    fn prelude(&self) -> &'static str;
}

/// GNU C11.
pub struct C;
/// OpenCL C 1.2.
pub struct OpenCl;
/// CUDA C++.
pub struct Cuda;
/// HIP C++.
pub struct Hip;

/// The kernel languages.
#[enum_dispatch(Dialect)]
pub enum Printer {
    /// GNU C11.
    C,
    /// OpenCL C 1.2.
    OpenCl,
    /// CUDA C++.
    Cuda,
    /// HIP C++.
    Hip,
}

impl Printer {
    /// The printer of a target.
    pub fn of(target: Target) -> Self {
        match target.language {
            Language::C => C.into(),
            Language::OpenCl => OpenCl.into(),
            Language::Cuda => Cuda.into(),
            Language::Hip => Hip.into(),
        }
    }
}

impl Dialect for C {
    fn prelude(&self) -> &'static str {
        include_str!("prelude/c.h")
    }
}

impl Dialect for OpenCl {
    fn prelude(&self) -> &'static str {
        include_str!("prelude/opencl.h")
    }
}

impl Dialect for Cuda {
    fn prelude(&self) -> &'static str {
        include_str!("prelude/cuda.h")
    }
}

impl Dialect for Hip {
    fn prelude(&self) -> &'static str {
        include_str!("prelude/hip.h")
    }
}
