// Package deploy tries what ../../deploy ships: the program as it is built for users, the image, the manifests, the unit, and
// how to back up and restore. It is here, so that the product does not depend on what reads these files.
package deploy
