/* libyaml's parser: events with marks (line, column), turned into a tree by IO/ConfigurationFile. */
#include <yaml.h>
