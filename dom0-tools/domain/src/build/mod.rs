//! Building a PVH domain: kernel, memory, tables and the first vCPU.
