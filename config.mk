# Settings of the build; override on the command line (make CC=clang SAN=address,undefined) or here.
PREFIX  ?= /usr/local
CC      ?= gcc
MPICC   ?= mpicc
NVCC    ?= nvcc
OPT     ?= -O2
# WERROR=1 turns warnings into errors (CI does).
WERROR  ?=
# MPI=1 builds the MPI plugin (needs mpicc); CUDA=1 the CUDA plugin (needs nvcc).
MPI     ?= $(if $(shell command -v $(MPICC) 2>/dev/null),1,0)
CUDA    ?= 0
# Sanitizers: SAN=address,undefined builds into a folder of its own.
SAN     ?=
