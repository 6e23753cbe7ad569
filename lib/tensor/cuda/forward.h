/*
 * Functions of a library that is opened by name and not linked, so that the plugin loads where it is missing, or another
 * version. A table FUNCTIONS(X) lists them as X(result, name, parameters, arguments); FUNCTIONS(AX_FORWARD) defines each as
 * a call of what was found, and FUNCTIONS(AX_FIND), in a function with `void *so` and `const char *missing`, looks them up
 * in `so`: missing is then the last name that is not there.
 */
#ifndef AX_TENSOR_CUDA_FORWARD_H
#define AX_TENSOR_CUDA_FORWARD_H

#include <dlfcn.h>

#define AX_FORWARD(result, name, parameters, arguments)                                                                \
	static result(*at_##name) parameters;                                                                          \
	result name parameters                                                                                         \
	{                                                                                                              \
		return at_##name arguments;                                                                            \
	}

/* ISO C has no conversion from an object's address to a function's; POSIX says that this one works. */
#define AX_FIND(result, name, parameters, arguments)                                                                   \
	*(void **)&at_##name = dlsym(so, #name);                                                                       \
	if (!at_##name)                                                                                                \
		missing = #name;

#endif
