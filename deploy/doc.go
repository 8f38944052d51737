// Package deploy tests the files in this folder: the program as users build it, the image, the manifests and the unit. It is a
// module of its own, so that the product does not depend on the libraries of these tests.
package deploy
