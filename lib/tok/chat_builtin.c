#include <string.h>

#include "tok/chat_templates.h"
#include "tok/effective.h"

const char *ax_chat_template_name(size_t i)
{
	for (size_t k = 0; ax_chat_named[k].name; k++)
		if (k == i)
			return ax_chat_named[k].name;
	return NULL;
}

const char *ax_chat_template_bundled(const char *name)
{
	for (size_t i = 0; ax_chat_named[i].name; i++)
		if (!strcmp(ax_chat_named[i].name, name))
			return ax_chat_named[i].text;
	return NULL;
}
