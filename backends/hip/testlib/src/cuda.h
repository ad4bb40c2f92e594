/* Precedes HIP's text for NVRTC: the builtins of AMD's compiler, by CUDA's functions. */
#define address_space(n)
#define amdgpu_flat_work_group_size(...)
#define __builtin_amdgcn_workgroup_id_x() blockIdx.x
#define __builtin_amdgcn_workitem_id_x() threadIdx.x
#define __builtin_amdgcn_workgroup_size_x() blockDim.x
#define __builtin_amdgcn_is_private(p) __isLocal(p)
#define __builtin_amdgcn_readfirstlane(v) __shfl_sync(__activemask(), v, __ffs((int)__activemask()) - 1)
#define __builtin_clz(v) __clz((int)(v))
#define __builtin_clzll(v) __clzll((long long)(v))
#define __builtin_popcount __popc
#define __builtin_popcountll __popcll
#define __builtin_ceilf ceilf
#define __builtin_ceil ceil
#define __builtin_floorf floorf
#define __builtin_floor floor
#define __builtin_truncf truncf
#define __builtin_trunc trunc
#define __builtin_rintf rintf
#define __builtin_rint rint
#define __builtin_sqrtf __fsqrt_rn
#define __builtin_sqrt __dsqrt_rn
#line 1
