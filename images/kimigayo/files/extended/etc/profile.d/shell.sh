# A friendlier shell, for those who work in it.
alias ll='ls -l'
alias la='ls -la'
PS1='\u@\h:\w\$ '
