// Package deploy tries what this folder ships: the program as it is built for users, the image, the manifests, the unit, and
// how to back up and restore. It is a module of its own, so that the product does not depend on what judges these files.
package deploy
