# The CUDA plugin, built from one set of sources twice: for GPUs with nvcc and the toolkit's libraries (make cuda), and for
# the tests with the stand-ins of tests/cudasim, whose build.mk has the rules for its objects.
CUDA_HOME   ?= $(patsubst %/bin/,%,$(dir $(realpath $(shell command -v $(NVCC) 2>/dev/null))))
CUDA_LIBDIR  = $(firstword $(wildcard $(CUDA_HOME)/lib64 $(CUDA_HOME)/lib))
# Machine code for these where the compiler knows them (100: from CUDA 12.8 on), and PTX for what comes later.
CUDA_ARCH    = $(if $(CUDA_HOME),$(filter $(patsubst sm_%,%,$(shell $(NVCC) --list-gpu-code)),80 90 100))
# from CUDA 13 on, every driver that can run the plugin unpacks this: a fourth of the size
CUDA_PACK    = $(if $(CUDA_HOME),$(if $(shell $(NVCC) --version | grep 'release 1[3-9]'),--compress-mode=size))
NVCCFLAGS    = -std=c++17 -O3 $(CUDA_PACK) $(foreach a,$(CUDA_ARCH),-gencode arch=compute_$(a),code=sm_$(a)) -gencode arch=compute_80,code=compute_80 \
	-Xptxas -v -Xcompiler -fPIC,-fvisibility=hidden,-fno-strict-aliasing,-ffp-contract=off,-fno-exceptions
CUDA_OBJ    := $(patsubst %,$(B)/cuda/%.o,$(basename $(filter %.c,$(CUDA_SRC))) $(filter %.cu,$(CUDA_SRC)))
CUDA_PLUGIN := $(B)/lib/ax/libax-cuda.so

# Said before anything is built for it.
ifneq ($(filter check-gpu bench-gpu,$(MAKECMDGOALS)),)
ifeq ($(shell nvidia-smi -L 2>/dev/null | grep GPU || ls -d /dev/nvidiactl /dev/dxg 2>/dev/null),)
$(error $(filter check-gpu bench-gpu,$(MAKECMDGOALS)): no NVIDIA GPU here; make check runs the same kernels on a simulated one)
endif
endif

.PHONY: cuda install-cuda
cuda: $(CUDA_PLUGIN)

# make install takes the plugin along where make cuda has built it
install: install-cuda
install-cuda: $(if $(wildcard $(CUDA_PLUGIN)),$(CUDA_PLUGIN)) $(filter cuda,$(MAKECMDGOALS))
	[ ! -f $(CUDA_PLUGIN) ] || { install -d '$(ROOT)/lib/ax' && install -m 755 $(CUDA_PLUGIN) '$(ROOT)/lib/ax'; }

# written only where they changed: objects for other architectures, or of another toolkit, are others
$(B)/cuda/flags: cuda-flags
	@mkdir -p $(@D)
	@echo '$(NVCC) $(CUDA_HOME) $(NVCCFLAGS)' | cmp -s - $@ || echo '$(NVCC) $(CUDA_HOME) $(NVCCFLAGS)' >$@
.PHONY: cuda-flags
cuda-flags:
	@command -v $(NVCC) >/dev/null || { echo "no $(NVCC): the CUDA plugin needs a CUDA toolkit, 12.4 or newer, in PATH or as NVCC=" >&2; exit 1; }
	@for h in cublasLt.h nccl.h; do \
		printf '#if !__has_include(<%s>)\n#error\n#endif\n' $$h | $(CC) -isystem $(CUDA_HOME)/include -E -x c - >/dev/null 2>&1 || missing="$$missing $$h"; \
	done; [ -z "$$missing" ] || { echo "not in $(CUDA_HOME)/include:$$missing; the CUDA plugin needs cuBLASLt and NCCL" >&2; exit 1; }
$(B)/cuda/%.cu.o: %.cu $(B)/cuda/flags Makefile lib/tensor/cuda/build.mk VERSION
	$(call say,NVCC,$<)
	@mkdir -p $(@D)
	$(Q)$(NVCC) $(CPPFLAGS) $(NVCCFLAGS) -MMD -MP -MF $(@:.o=.d) -c -o $@ $< >$@.log 2>&1 || { cat $@.log; rm -f $@; exit 1; }
	$(Q)grep -i warning $@.log $(if $(WERROR),&& exit 1) || :
$(B)/cuda/%.o: %.c $(B)/cuda/flags Makefile lib/tensor/cuda/build.mk VERSION
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) -isystem $(CUDA_HOME)/include $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<
$(B)/cuda/lib/tensor/cuda/dev.o: $(DEV_WALL)
# the functions of device.h as PTX, for make check-gpu; the simulator's self-tests run the same programs
$(B)/gpu/test_%: $(addprefix tests/cudasim/self/,test_%.cpp %.cu %.h help.h tap.h) lib/tensor/cuda/device.h $(B)/cuda/flags
	$(call say,NVCC,$@)
	@mkdir -p $(@D)
	$(Q)$(NVCC) $(CPPFLAGS) -Itests/cudasim/self $(filter-out -Xptxas -v,$(NVCCFLAGS)) -x cu -o $@ $(filter %.cpp %.cu,$^)
# what ptxas says of each kernel is held against scripts/ptxas.limits
$(CUDA_PLUGIN): $(CUDA_OBJ) $(LIB) scripts/ptxas.sh scripts/ptxas.limits
	$(Q)sh scripts/ptxas.sh $(patsubst %,%.log,$(filter %.cu.o,$(CUDA_OBJ)))
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CXX) $(LDFLAGS) -shared -Wl,-z,defs -static-libgcc -static-libstdc++ -Wl,--exclude-libs,ALL -Wl,-rpath,$(CUDA_LIBDIR) -o $@ $(filter %.o %.a,$^) \
		-L$(CUDA_LIBDIR) -L$(CUDA_HOME)/lib -lcudart_static -lxxhash -lrt -ldl -lm
