# The CUDA sources on the CPU (tests/cudasim/README.md): built once a flavour, without the toolkit.
#   plain   -O2, the orders by environment      asan      address sanitizer and alignment
#   check   our own __tsan_* hooks              portable  fibers as on processors other than x86-64
CXX      ?= g++
SIM      ?= $(if $(shell command -v $(CXX) 2>/dev/null),1,0)
# Kernels run on this machine only; wide vectors make the simulated mma three times as fast.
SIM_ARCH ?= -march=native
SIM_FLAVOURS := plain asan check portable
# what a flavour adds for the program's own sources and tests, and for the simulator
SIM_plain := -DCUDASIM_FLAVOUR_PLAIN=1
SIM_asan  := -DCUDASIM_FLAVOUR_PLAIN=0 -fsanitize=address,alignment -fno-sanitize-recover=alignment -fno-omit-frame-pointer
SIM_check := -DCUDASIM_FLAVOUR_PLAIN=0 -DCUDASIM_FLAVOUR_CHECK -fsanitize=thread,alignment -fsanitize-undefined-trap-on-error -include tests/cudasim/check_calls.h
SIM_portable := $(SIM_plain) -DCUDASIM_PORTABLE
SIM_OWN_plain :=
SIM_OWN_portable := -DCUDASIM_PORTABLE
SIM_OWN_asan  := $(SIM_asan)
SIM_OWN_check := -DCUDASIM_CHECK
SIM_LINK_asan := -fsanitize=address,alignment
SIM_WARN := -Wall -Wextra -Wconversion -Wshadow -Wno-unused-parameter $(if $(WERROR),-Werror)
SIM_CPPFLAGS := -Itests/cudasim/include -Itests/cudasim -Itests/cudasim/self $(CPPFLAGS)
SIM_FLAGS := -O2 -g -fPIC -fvisibility=hidden $(SIM_ARCH) -fno-strict-aliasing -ffp-contract=off -pthread $(SIM_WARN)
SIM_CXXFLAGS := -std=c++17 -fno-exceptions -fno-rtti $(SIM_FLAGS)
SIM_CFLAGS := -std=c11 $(SIM_FLAGS)

# messages of the NCCL stand-in: over MPI where it is installed
SIM_WIRE := tests/cudasim/$(if $(filter 1,$(MPI)),wire_mpi,wire_none).cpp
SIM_LIB_SRC := $(filter-out tests/cudasim/wire_%,$(wildcard tests/cudasim/*.cpp)) $(SIM_WIRE)
SIM_CXX  := $(if $(filter 1,$(MPI)),OMPI_CXX=$(CXX) MPICH_CXX=$(CXX) mpicxx,$(CXX))
# kernels of the self-tests
SELF_SRC := $(wildcard tests/cudasim/self/*.cu)
SIM_TEST_SRC := $(wildcard tests/cudasim/self/test_*.cpp)

# The plugin of a flavour, beside programs that find it there: build/sim/bin/ax-train (plain), build/sim-asan/bin/...
sim_root = $(B)/sim$(patsubst %,-%,$(filter-out plain,$(1)))
# the %_library.c open the real cuBLASLt and NCCL
CUDA_OBJ_NAMES := $(addsuffix .o,$(basename $(filter-out %_library.c,$(filter %.c,$(CUDA_SRC)))) $(filter %.cu,$(CUDA_SRC)))

# $(1) flavour
define sim_rules
# the simulator itself
$(SIM_LIB_SRC:%.cpp=$(B)/cudasim/$(1)/%.o): $(B)/cudasim/$(1)/%.o: %.cpp Makefile tests/cudasim/build.mk
	$$(call say,$(subst plain,sim,$(1)),$$<)
	@mkdir -p $$(@D)
	$$(Q)$$(SIM_CXX) $$(SIM_CPPFLAGS) $$(SIM_CXXFLAGS) $$(SIM_OWN_$(1)) -MMD -MP -c -o $$@ $$<
$(B)/cudasim/$(1)/tests/cudasim/gemm.o: SIM_CXXFLAGS += -O3 -ffp-contract=fast
$(B)/cudasim/$(1)/libcudasim.a: $(SIM_LIB_SRC:%.cpp=$(B)/cudasim/$(1)/%.o)
	$$(call say,AR,$$@)
	$$(Q)rm -f $$@ && $$(AR) rcs $$@ $$^
# kernels, host code, tests
$(B)/cudasim/$(1)/%.cu.o: %.cu Makefile tests/cudasim/build.mk
	$$(call say,$(subst plain,sim,$(1)),$$<)
	@mkdir -p $$(@D)
	$$(Q)$$(CXX) -x c++ $$(SIM_CPPFLAGS) $$(SIM_CXXFLAGS) $$(SIM_$(1)) -MMD -MP -c -o $$@ $$<
$(B)/cudasim/$(1)/%.o: %.cpp Makefile tests/cudasim/build.mk
	$$(call say,$(subst plain,sim,$(1)),$$<)
	@mkdir -p $$(@D)
	$$(Q)$$(CXX) $$(SIM_CPPFLAGS) $$(SIM_CXXFLAGS) $$(SIM_$(1)) -MMD -MP -c -o $$@ $$<
$(B)/cudasim/$(1)/%.o: %.c Makefile tests/cudasim/build.mk
	$$(call say,$(subst plain,sim,$(1)),$$<)
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $$(SIM_CPPFLAGS) $$(SIM_CFLAGS) $$(SIM_$(1)) -MMD -MP -c -o $$@ $$<
$(B)/cudasim/$(1)/lib/tensor/cuda/dev.o: $(DEV_WALL)
$(B)/cudasim/$(1)/test_%: $(B)/cudasim/$(1)/tests/cudasim/self/test_%.o $(SELF_SRC:%.cu=$(B)/cudasim/$(1)/%.cu.o) $(B)/cudasim/$(1)/libcudasim.a
	$$(call say,LINK,$$@)
	$$(Q)$$(SIM_CXX) -pthread -Wl,--as-needed $$(SIM_LINK_$(1)) -o $$@ $$^ -ldl
$(call sim_root,$(1))/lib/ax/libax-cuda.so: $(CUDA_OBJ_NAMES:%=$(B)/cudasim/$(1)/%) $(B)/cudasim/$(1)/libcudasim.a $(LIB)
	$$(call say,LINK,$$@)
	@mkdir -p $$(@D)
	$$(Q)$$(SIM_CXX) -shared -pthread -Wl,--as-needed,-Bsymbolic,--exclude-libs,ALL $$(SIM_LINK_$(1)) -o $$@ $$^ -lxxhash -ldl
$(call sim_root,$(1))/lib/ax/libax-mpi.so $(call sim_root,$(1))/bin/ax-train: $(call sim_root,$(1))/%: $(B)/%
	@mkdir -p $$(@D)
	$$(Q)rm -f $$@ && cp $$< $$@
endef
$(foreach f,$(SIM_FLAVOURS),$(eval $(call sim_rules,$(f))))

# The self-tests in all flavours, the plain plugin and the checker's are for make check, all else for make check-long.
sim_plugin = $(foreach p,lib/ax/libax-cuda.so bin/ax-train $(if $(filter 1,$(MPI)),lib/ax/libax-mpi.so),$(call sim_root,$(1))/$(p))
SIM_BIN := $(call sim_plugin,plain) $(call sim_root,check)/lib/ax/libax-cuda.so $(foreach f,plain asan check,$(SIM_TEST_SRC:tests/cudasim/self/%.cpp=$(B)/cudasim/$(f)/%))
SIM_LONG_BIN := $(B)/sim-mutant/flags $(call sim_plugin,asan) $(call sim_plugin,check) $(addprefix $(B)/cudasim/portable/,test_bugs test_sample test_layouts)
# what tests/cuda/mutants.sh builds its mutants with
$(B)/sim-mutant/flags: Makefile tests/cudasim/build.mk $(CUDA_SRC)
	@mkdir -p $(@D)
	$(Q){ echo "SIM_CXX='$(CXX) $(filter-out -DAX_VERSION=%,$(SIM_CPPFLAGS)) $(SIM_CXXFLAGS) $(SIM_check)'"; \
		echo "SIM_CC='$(CC) $(filter-out -DAX_VERSION=%,$(SIM_CPPFLAGS)) $(SIM_CFLAGS) $(SIM_check)'"; \
		echo "SIM_VERSION='$(VERSION)'"; \
		echo "SIM_LINK='$(SIM_CXX) -shared -pthread -Wl,--as-needed,-Bsymbolic,--exclude-libs,ALL'"; \
		echo "SIM_OBJECTS='$(CUDA_OBJ_NAMES:%=$(B)/cudasim/check/%)'"; \
		echo "SIM_LIBS='$(B)/cudasim/check/libcudasim.a $(LIB) -lxxhash -ldl'"; } >$@
