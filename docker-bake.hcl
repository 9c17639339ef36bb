# All images at once, so that the programs are compiled once: docker buildx bake
variable "REPOSITORY" { default = "ghcr.io/fairline" }
variable "TAG" { default = "dev" }

group "default" { targets = ["image"] }

target "image" {
  name   = service
  matrix = { service = ["waiting-room", "admission-controller", "checkout", "sandbox-gateway", "fairline", "rehearsing-controller"] }
  target = service
  tags   = ["${REPOSITORY}/${service}:${TAG}"]
}
