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

    /// `vv_leads`: whether this lane is the first of those of its warp that are at the same instruction now.
    fn leads(&self) -> &'static str;
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

    fn leads(&self) -> &'static str {
        // One runs at a time.
        "VV_INLINE u32 vv_leads(void) { return 1; }\n"
    }
}

impl Dialect for OpenCl {
    fn prelude(&self) -> &'static str {
        include_str!("prelude/opencl.h")
    }

    fn leads(&self) -> &'static str {
        // PTX is what NVIDIA's devices understand; on processors one runs at a time; others do not say.
        "\
#ifdef VV_NVIDIA
VV_INLINE u32 vv_leads(void) {
    u32 active, before;
    __asm volatile(\"activemask.b32 %0;\" : \"=r\"(active));
    __asm volatile(\"mov.u32 %0, %%lanemask_lt;\" : \"=r\"(before));
    return (active & before) == 0;
}
#elif defined(VV_BRANCHY)
VV_INLINE u32 vv_leads(void) { return 1; }
#else
VV_INLINE u32 vv_leads(void) { return 0; }
#endif
"
    }
}

impl Dialect for Cuda {
    fn prelude(&self) -> &'static str {
        include_str!("prelude/cuda.h")
    }

    fn leads(&self) -> &'static str {
        "\
VV_INLINE u32 vv_leads(void) {
    u32 before;
    asm volatile(\"mov.u32 %0, %%lanemask_lt;\" : \"=r\"(before));
    return (__activemask() & before) == 0;
}
"
    }
}

impl Dialect for Hip {
    fn prelude(&self) -> &'static str {
        include_str!("prelude/hip.h")
    }

    fn leads(&self) -> &'static str {
        "\
VV_INLINE u32 vv_leads(void) {
    u32 lane = __builtin_amdgcn_workitem_id_x();
    return (u32)__builtin_amdgcn_readfirstlane((int)lane) == lane;
}
"
    }
}
