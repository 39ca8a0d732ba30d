insert into a values ('z',1,1);
