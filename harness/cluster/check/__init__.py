"""What is wrong with a file that describes a cluster: of `ray up`, KubeRay, Slurm or SkyPilot; nothing is started."""
